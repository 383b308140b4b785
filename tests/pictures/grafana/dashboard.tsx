// The dashboard around its panels: title, variables, rows and the grid, in Grafana's measures.
import { PanelChrome, useTheme2 } from '@grafana/ui';

import { LinesPanel, type Loaded, StatPanel, TablePanel } from './panels';
import type { Panel, Picture } from './picture';

const COLUMNS = 24;
const CELL_HEIGHT = 30;
const GAP = 8;
const HEAD = 48;

interface Props {
  picture: Picture;
  panels: Loaded[];
}

export function DashboardPicture({ picture, panels }: Props) {
  const theme = useTheme2();
  const bottom = Math.max(...panels.map(({ panel: { gridPos } }) => gridPos.y + gridPos.h));
  const height = HEAD + bottom * (CELL_HEIGHT + GAP) + GAP;
  return (
    <div style={{ position: 'relative', width: picture.width, height, background: theme.colors.background.canvas }}>
      <Head picture={picture} />
      {panels.map((loaded) => (
        <Placed key={loaded.panel.id} picture={picture} {...loaded} />
      ))}
    </div>
  );
}

function Head({ picture }: { picture: Picture }) {
  const theme = useTheme2();
  return (
    <div style={{ display: 'flex', alignItems: 'center', gap: 24, height: HEAD, padding: `0 ${2 * GAP}px` }}>
      <span style={{ fontSize: 18, fontWeight: 500, color: theme.colors.text.primary }}>{picture.title}</span>
      {picture.variables.map(([label, value]) => (
        <span key={label} style={{ color: theme.colors.text.secondary }}>
          {label} <span style={{ color: theme.colors.text.primary, fontWeight: 500 }}>{value}</span>
        </span>
      ))}
    </div>
  );
}

function Placed({ picture, ...loaded }: Loaded & { picture: Picture }) {
  const { x, y, w, h } = loaded.panel.gridPos;
  const column = (picture.width - GAP) / COLUMNS;
  const width = w * column - GAP;
  const height = h * (CELL_HEIGHT + GAP) - GAP;
  const place = { position: 'absolute', left: GAP + x * column, top: HEAD + y * (CELL_HEIGHT + GAP), width, height } as const;
  return (
    <div className="panel" data-title={loaded.panel.title} data-type={loaded.panel.type} style={place}>
      {loaded.panel.type === 'row' ? <RowTitle {...loaded.panel} /> : <Framed {...{ picture, width, height, ...loaded }} />}
    </div>
  );
}

function RowTitle({ title }: Panel) {
  return <div style={{ fontSize: 16, fontWeight: 500, lineHeight: `${CELL_HEIGHT}px`, paddingLeft: GAP }}>{title}</div>;
}

function Framed({ picture, width, height, ...loaded }: Loaded & { picture: Picture; width: number; height: number }) {
  const { title, type } = loaded.panel;
  return (
    <PanelChrome title={title} width={width} height={height} padding={type === 'stat' ? 'none' : 'md'}>
      {(innerWidth, innerHeight) => {
        const inside = { ...loaded, width: innerWidth, height: innerHeight };
        switch (type) {
          case 'stat':
            return <StatPanel {...inside} />;
          case 'table':
            return <TablePanel {...inside} />;
          default:
            return <LinesPanel {...inside} picture={picture} />;
        }
      }}
    </PanelChrome>
  );
}
