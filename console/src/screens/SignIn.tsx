/** Signing in by a printed link, and every way in which that ends otherwise. */
import { Button } from "@mantine/core";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Refusal } from "../api/client.ts";
import { exchange } from "../api/session.ts";
import { CopyLine } from "../parts/CopyLine.tsx";
import { StateScreen } from "../parts/StateScreen.tsx";

/** The secret in the address, if there is one: `#/sign-in/<secret>`. */
export function takeSecret(): string | undefined {
  const secret = /^#\/(?:sign-in|s)\/([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1];
  // Out of the address at once: not in the history, not over a shoulder, not in a screenshot.
  if (secret !== undefined) history.replaceState(null, "", "#/");
  return secret;
}

/** Secrets already tried on this page: React may ask twice, the link works once. */
const tries = new Map<string, Promise<unknown>>();

export function ExchangeScreen(props: { secret: string; onSignedIn: () => void }) {
  const { t } = useTranslation();
  const { secret, onSignedIn } = props;
  const [refusal, setRefusal] = useState<Refusal>();
  const [attempt, setAttempt] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt is another exchange
  useEffect(() => {
    let isShown = true;
    const trying = tries.get(secret) ?? exchange(secret);
    tries.set(secret, trying);
    trying.then(onSignedIn, (error: unknown) => {
      tries.delete(secret);
      if (isShown) setRefusal(error instanceof Refusal ? error : new Refusal("", 0, ""));
    });
    return () => {
      isShown = false;
    };
  }, [secret, onSignedIn, attempt]);
  if (refusal === undefined) {
    return <StateScreen title={t("signIn.title")} words={t("signIn.working")} />;
  }
  const isUsed = refusal.status === 401 || refusal.status === 410 || refusal.status === 400;
  if (isUsed) {
    return (
      <StateScreen title={t("signIn.usedTitle")} words={t("signIn.used")} role="alert">
        <AnotherLink />
      </StateScreen>
    );
  }
  return (
    <StateScreen
      title={t("signIn.failedTitle")}
      words={
        refusal.status === 0
          ? t("state.unreachableTitle")
          : t("state.error", { title: refusal.message })
      }
      role="alert"
    >
      <Button
        onClick={() => {
          setRefusal(undefined);
          setAttempt(attempt + 1);
        }}
      >
        {t("signIn.retry")}
      </Button>
    </StateScreen>
  );
}

/** @param props.why "out": signed out here; "ended": it ran out or was ended elsewhere. */
export function SignedOutScreen(props: { why: "new" | "out" | "ended" }) {
  const { t } = useTranslation();
  const words = {
    new: { title: t("signIn.title"), words: t("signIn.lead") },
    out: { title: t("signIn.outTitle"), words: t("signIn.out") },
    ended: { title: t("signIn.endedTitle"), words: t("signIn.ended") },
  }[props.why];
  return (
    <StateScreen {...words}>
      {props.why !== "new" && <p>{t("signIn.lead")}</p>}
      <AnotherLink />
    </StateScreen>
  );
}

function AnotherLink() {
  const { t } = useTranslation();
  return (
    <>
      <p>{t("signIn.another")}</p>
      <CopyLine what={t("signIn.commandName")} text={t("signIn.command")} />
      <p>{t("signIn.roles")}</p>
    </>
  );
}
