// The panels: data with units, names, colours and overrides of the dashboard's file, drawn by Grafana's component of that type.
import {
  applyFieldOverrides,
  type DataFrame,
  dateTime,
  FieldColorModeId,
  type FieldConfigSource,
  getFieldDisplayValues,
  type GrafanaTheme2,
  type TimeRange,
  transformDataFrame,
} from '@grafana/data';
import { BigValue, Table, TimeSeries, useTheme2 } from '@grafana/ui';
import { lastValueFrom } from 'rxjs';
import type uPlot from 'uplot';

import { framesOf } from './frames';
import { optionsOf } from './grafana';
import type { Panel, Picture } from './picture';

const TIME_ZONE = 'utc';

/** What Grafana's own time series panel takes where a dashboard says nothing. */
const LINES = { color: { mode: FieldColorModeId.PaletteClassic }, custom: { drawStyle: 'line', axisGridShow: true } };

/** Top, right, bottom, left; null is uPlot's own. To the right there must be room for half of the last time. */
const PADDING: uPlot.Padding = [null, 32, null, null];

export interface Loaded {
  panel: Panel;
  frames: DataFrame[];
  fieldConfig: FieldConfigSource<any>;
}

const unchanged = (text: string) => text;

export async function loaded(panel: Panel, theme: GrafanaTheme2): Promise<Loaded> {
  const fieldConfig = fieldConfigOf(panel);
  const answered = (panel.answers ?? []).flatMap(framesOf);
  const data = await lastValueFrom(transformDataFrame(panel.transformations ?? [], answered));
  const frames = applyFieldOverrides({
    data,
    fieldConfig,
    fieldConfigRegistry: optionsOf(fieldConfig),
    replaceVariables: unchanged,
    theme,
    timeZone: TIME_ZONE,
  });
  return { panel, frames, fieldConfig };
}

function fieldConfigOf({ type, fieldConfig }: Panel): FieldConfigSource<any> {
  const { defaults = {}, overrides = [] } = fieldConfig ?? {};
  if (type !== 'timeseries') {
    return { defaults, overrides };
  }
  return { defaults: { ...LINES, ...defaults, custom: { ...LINES.custom, ...defaults.custom } }, overrides };
}

interface Size {
  width: number;
  height: number;
}

export function StatPanel({ panel, frames, fieldConfig, width, height }: Loaded & Size) {
  const theme = useTheme2();
  const options = panel.options!;
  const [value] = getFieldDisplayValues({
    data: frames,
    fieldConfig,
    reduceOptions: options.reduceOptions,
    replaceVariables: unchanged,
    sparkline: true,
    theme,
    timeZone: TIME_ZONE,
  });
  return (
    <BigValue
      value={{ ...value.display, title: undefined }}
      sparkline={value.sparkline}
      colorMode={options.colorMode}
      graphMode={options.graphMode}
      justifyMode={options.justifyMode}
      theme={theme}
      width={width}
      height={height}
    />
  );
}

export function LinesPanel({ panel, frames, picture, width, height }: Loaded & Size & { picture: Picture }) {
  return (
    <TimeSeries
      frames={frames}
      timeRange={timeRangeOf(picture)}
      timeZone={TIME_ZONE}
      legend={panel.options!.legend}
      width={width}
      height={height}
    >
      {(config) => {
        config.setPadding(PADDING);
        return null;
      }}
    </TimeSeries>
  );
}

function timeRangeOf(picture: Picture): TimeRange {
  const [from, to] = [dateTime(picture.from * 1000), dateTime(picture.to * 1000)];
  return { from, to, raw: { from, to } };
}

export function TablePanel({ panel, frames, width, height }: Loaded & Size) {
  const { options } = panel;
  return <Table data={frames[options!.frameIndex]} cellHeight={options!.cellHeight} width={width} height={height} />;
}
