/** One accent, neutral greys. Shades are chosen so that text on them keeps 4.5 : 1 in both themes. */
import { createTheme, type MantineColorsTuple } from "@mantine/core";

const accent: MantineColorsTuple = [
  "#eef5fb",
  "#dce9f4",
  "#b5d0e7",
  "#8ab5d9",
  "#5f9acb",
  "#3f83bb",
  "#2a70aa",
  "#1c5d99",
  "#154b7d",
  "#0e3860",
];

/** Text to ground, as the tokens of look.css have them in the dark. */
const dark: MantineColorsTuple = [
  "#f0f2f4",
  "#c0c7ce",
  "#9da6af",
  "#69727b",
  "#3d454d",
  "#2a3036",
  "#1d2227",
  "#15191d",
  "#101317",
  "#0d1013",
];

export const theme = createTheme({
  colors: { accent, dark },
  primaryColor: "accent",
  primaryShade: { light: 7, dark: 7 },
  autoContrast: true,
  defaultRadius: "sm",
  fontFamily: 'Inter, "Segoe UI", system-ui, -apple-system, Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace',
  headings: { fontWeight: "600" },
  cursorType: "pointer",
  focusRing: "auto",
});
