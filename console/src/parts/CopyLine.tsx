/** Words to take elsewhere, exactly as they stand: a code or a command, with a button that copies it. */
import { Button } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { useTranslation } from "react-i18next";
import "./copy-line.css";

/** @param props.what names it for the button: "claim code". */
export function CopyLine(props: { what: string; text: string }) {
  const { t } = useTranslation();
  const clipboard = useClipboard({ timeout: 2_000 });
  const said = clipboard.error ? t("copy.failed") : clipboard.copied ? t("copy.done") : "";
  return (
    <div className="copy-line">
      <code>{props.text}</code>
      <Button
        size="compact-sm"
        variant="default"
        onClick={() => clipboard.copy(props.text)}
        aria-label={t("copy.copyWhat", { what: props.what })}
      >
        {t("copy.copy")}
      </Button>
      <span className="copy-said" role="status">
        {said}
      </span>
    </div>
  );
}
