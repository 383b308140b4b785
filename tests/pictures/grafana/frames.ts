// Answers of Prometheus as Grafana's data frames, as its data source makes them.
import { type DataFrame, type Field, FieldType } from '@grafana/data';

import type { Answer, Sample, Series } from './picture';

export function framesOf(answer: Answer): DataFrame[] {
  return answer.isTable ? tableOf(answer) : answer.series.map((series) => lineOf(answer, series));
}

function lineOf({ refId, legendFormat }: Answer, { metric, values }: Series): DataFrame {
  const name = legendFormat.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label: string) => metric[label] ?? '');
  return frame(refId, [
    field('Time', FieldType.time, values.map(milliseconds)),
    { ...field('Value', FieldType.number, values.map(number)), labels: metric, config: { displayNameFromDS: name } },
  ]);
}

/** A line per series, a column per label. */
function tableOf({ refId, series }: Answer): DataFrame[] {
  if (series.length === 0) {
    return [];
  }
  const newest = series.map(({ values }) => values[values.length - 1]);
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return [
    frame(refId, [
      field('Time', FieldType.time, newest.map(milliseconds)),
      ...labels.map((label) => field(label, FieldType.string, series.map(({ metric }) => metric[label] ?? ''))),
      field(`Value #${refId}`, FieldType.number, newest.map(number)),
    ]),
  ];
}

function frame(refId: string, fields: Field[]): DataFrame {
  return { refId, fields, length: fields[0].values.length };
}

function field(name: string, type: FieldType, values: unknown[]): Field {
  return { name, type, values, config: {} };
}

const milliseconds = ([seconds]: Sample) => seconds * 1000;
const number = ([, value]: Sample) => Number(value);
