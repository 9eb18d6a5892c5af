/** Who is it? Signed in: the console. With a link: signing in. Else: how to get a link. */
import { Button } from "@mantine/core";
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Refusal } from "./api/client.ts";
import { endSession, type Signed, useSession } from "./api/session.ts";
import { LiveProvider, useLine } from "./live/live.tsx";
import { SettingsProvider } from "./look/settings.tsx";
import { PlainShell } from "./parts/Shell.tsx";
import { StateScreen } from "./parts/StateScreen.tsx";
import { makeRouter } from "./router.tsx";
import { ExchangeScreen, SignedOutScreen, takeSecret } from "./screens/SignIn.tsx";

export function App() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [secret, setSecret] = useState(takeSecret);
  const [out, setOut] = useState<"new" | "out" | "ended">("new");
  // A link opened in a tab that already shows the console changes only the fragment.
  useEffect(() => {
    const onHash = () => setSecret((known) => takeSecret() ?? known);
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);
  const onSignedIn = useCallback(() => {
    forget(client);
    setSecret(undefined);
  }, [client]);
  const leave = useCallback(
    (why: "out" | "ended") => {
      setOut(why);
      // Nothing of the ward stays in memory.
      forget(client);
      client.setQueryData(["session"], null);
    },
    [client],
  );
  if (secret !== undefined) {
    return (
      <PlainShell>
        <ExchangeScreen key={secret} secret={secret} onSignedIn={onSignedIn} />
      </PlainShell>
    );
  }
  return <Session out={out} leave={leave} loading={t("state.loading")} />;
}

/** All but what is true of the platform for everybody. */
function forget(client: QueryClient): void {
  client.getMutationCache().clear();
  client.removeQueries({ predicate: (query) => query.queryKey[0] !== "about" });
}

function Session(props: {
  out: "new" | "out" | "ended";
  leave: (why: "out" | "ended") => void;
  loading: string;
}) {
  const { t } = useTranslation();
  const session = useSession();
  const { leave } = props;
  const signOut = useCallback(() => {
    endSession().then(
      () => leave("out"),
      (error: unknown) => {
        // Not signed in any more is what was wanted; away is not: the cookie would still work.
        if (error instanceof Refusal && error.status === 401) leave("out");
        else setStuck(true);
      },
    );
  }, [leave]);
  const [stuck, setStuck] = useState(false);
  if (session.data && !stuck) {
    return <Console signed={session.data} signOut={signOut} leave={leave} />;
  }
  const isSignedOut =
    session.data === null || (session.error instanceof Refusal && session.error.status === 401);
  return (
    <PlainShell>
      {stuck ? (
        <StateScreen title={t("signIn.stuckTitle")} words={t("signIn.stuck")} role="alert">
          <Button
            onClick={() => {
              setStuck(false);
              signOut();
            }}
          >
            {t("state.retry")}
          </Button>
        </StateScreen>
      ) : isSignedOut ? (
        <SignedOutScreen why={props.out} />
      ) : session.isError ? (
        <StateScreen
          title={t("state.unreachableTitle")}
          words={t("state.unreachable")}
          role="alert"
        >
          <Button onClick={() => void session.refetch()}>{t("state.retry")}</Button>
        </StateScreen>
      ) : (
        <StateScreen title={t("product")} words={props.loading} />
      )}
    </PlainShell>
  );
}

function Console(props: {
  signed: Signed;
  signOut: () => void;
  leave: (why: "out" | "ended") => void;
}) {
  const { signed, signOut } = props;
  const router = useMemo(() => makeRouter(signed.person, signOut), [signed.person, signOut]);
  return (
    <SettingsProvider>
      <LiveProvider>
        <EndedElsewhere leave={props.leave} />
        <RouterProvider router={router} />
      </LiveProvider>
    </SettingsProvider>
  );
}

/** The line says so at once when the sign-in ran out or was ended elsewhere. */
function EndedElsewhere(props: { leave: (why: "ended") => void }) {
  const { state } = useLine();
  const { leave } = props;
  useEffect(() => {
    if (state === "ended") leave("ended");
  }, [state, leave]);
  return null;
}
