// What Grafana's own application does at its start, as far as panels need it.
import {
  FieldConfigOptionsRegistry,
  type FieldConfigPropertyItem,
  type FieldConfigSource,
  standardTransformers,
  standardTransformersRegistry,
} from '@grafana/data';

export function setUpGrafana(): void {
  const used = [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer];
  standardTransformersRegistry.setInit(() =>
    used.map((transformation) => ({ id: transformation.id, name: transformation.name, transformation, editor: () => null }))
  );
}

/** Every option that this panel sets; each counts as it is. Grafana's lists of options belong to its editors, and are in no package. */
export function optionsOf({ defaults, overrides }: FieldConfigSource<any>): FieldConfigOptionsRegistry {
  const { custom = {}, ...standard } = defaults;
  const ids = new Set([
    ...Object.keys(standard),
    ...Object.keys(custom).map((name) => `custom.${name}`),
    ...overrides.flatMap((override) => override.properties.map((property) => property.id)),
  ]);
  return new FieldConfigOptionsRegistry(() => [...ids].map(option));
}

function option(id: string): FieldConfigPropertyItem {
  const isCustom = id.startsWith('custom.');
  return {
    id,
    path: isCustom ? id.slice('custom.'.length) : id,
    name: id,
    isCustom,
    process: (value) => value,
    shouldApply: () => true,
    override: () => null,
    editor: () => null,
  };
}
