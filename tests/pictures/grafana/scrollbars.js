// The table's scrollbars: of a CommonJS package, of which Grafana's modules, bundled by esbuild, would take the whole for its default.
export { Scrollbars as default } from './node_modules/react-custom-scrollbars-2/lib/index.js';
