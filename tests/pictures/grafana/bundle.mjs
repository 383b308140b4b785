// `npm run bundle`: the page with all that it needs, in the folder `built`.
import { cp } from 'node:fs/promises';

import { build } from 'esbuild';

await build({
  entryPoints: ['main.tsx'],
  bundle: true,
  minify: true,
  outdir: 'built',
  jsx: 'automatic',
  alias: { 'react-custom-scrollbars-2': './scrollbars.js' },
  loader: { '.ttf': 'empty' }, // of a code editor, which is not shown
  logLevel: 'warning',
});
await cp('index.html', 'built/index.html');
await cp('node_modules/@grafana/ui/dist/public', 'built/public', { recursive: true });
// Grafana's font, where its styles look for it.
for (const [weight, name] of [['400', 'Regular'], ['500', 'Medium']]) {
  await cp(`node_modules/@fontsource/inter/files/inter-latin-${weight}-normal.woff2`, `built/public/fonts/inter/Inter-${name}.woff2`);
}
