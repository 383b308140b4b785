// The page on which Chromium draws one picture: what tests/pictures/drawing.py hands over, with Grafana's own components.
import 'uplot/dist/uPlot.min.css';
import { createTheme, ThemeContext } from '@grafana/data';
import { GlobalStyles } from '@grafana/ui';
import type { ReactNode } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';

import { DashboardPicture } from './dashboard';
import { setUpGrafana } from './grafana';
import { loaded } from './panels';
import type { Picture } from './picture';

async function draw(picture: Picture): Promise<void> {
  setUpGrafana();
  const theme = createTheme({ colors: { mode: 'dark' } });
  const root = createRoot(document.getElementById('picture')!);
  const render = (content?: ReactNode) =>
    root.render(
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
        {content}
      </ThemeContext.Provider>
    );
  flushSync(() => render());
  // Before anything else: canvases are not drawn again when a font comes, and texts are measured to find their size.
  await Promise.all(['400', '500'].map((weight) => document.fonts.load(`${weight} 14px Inter`)));
  const panels = await Promise.all(picture.panels.map((panel) => loaded(panel, theme)));
  render(<DashboardPicture picture={picture} panels={panels} />);
}

Object.assign(window, { draw });
