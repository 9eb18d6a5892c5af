/** The component library draws a dialog's head as `<header>`, which outside of a section is a landmark of the page. */
export const DIALOG_HEADER = { header: { role: "presentation" } } as const;
/** Below the banner, which stays readable. */
export const DIALOG_CLASSES = { inner: "below-banner", overlay: "below-banner" } as const;
