/** Every state that is not the content itself has a heading, a sentence and, where there is one, a way on. */
import { Button } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Refusal } from "../api/client.ts";

export function StateScreen(props: {
  title: string;
  words: string;
  role?: "alert" | "status";
  children?: ReactNode;
}) {
  return (
    <section className="panel state-screen" role={props.role ?? "status"}>
      <h1>{props.title}</h1>
      <p>{props.words}</p>
      {props.children}
    </section>
  );
}

/** What to show when a screen's data did not come. */
export function Failure(props: { error: unknown; retry: () => void }) {
  const { t } = useTranslation();
  const { error } = props;
  const code = error instanceof Refusal ? error.code : "internal-fault";
  if (code === "not-found" || code === "forbidden") {
    return (
      <StateScreen title={t("state.notSharedTitle")} words={t("state.notShared")}>
        <Button component="a" href="#/ward" variant="default">
          {t("state.toWard")}
        </Button>
      </StateScreen>
    );
  }
  const away = code === "unreachable";
  return (
    <StateScreen
      role="alert"
      title={away ? t("state.unreachableTitle") : t("state.errorTitle")}
      words={
        away
          ? t("state.unreachable")
          : t("state.error", { title: error instanceof Refusal ? error.message : code })
      }
    >
      <Button onClick={props.retry}>{t("state.retry")}</Button>
    </StateScreen>
  );
}
