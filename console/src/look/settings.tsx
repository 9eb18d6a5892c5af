/** The viewer's preferences: units, locale, theme. Kept by the platform per person; until they are known, the browser's. */
import { useMantineColorScheme } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo } from "react";
import type { Preferences } from "../../../src/ward/schema.ts";
import { ask } from "../api/client.ts";
import type { Style } from "../time/format.ts";

const FALLBACK: Preferences = {
  glucoseUnit: "mg/dL",
  temperatureUnit: "Cel",
  weightUnit: "kg",
  theme: "system",
  locale: "auto",
};

interface Settings {
  preferences: Preferences;
  /** For `Intl`: the chosen locale, the viewer's own zone. */
  style: Style;
  save: (change: Partial<Preferences>) => void;
  saving: "idle" | "saving" | "saved" | "failed";
}
const SettingsContext = createContext<Settings | undefined>(undefined);

export function SettingsProvider(props: { children: ReactNode }) {
  const client = useQueryClient();
  const { setColorScheme } = useMantineColorScheme();
  const query = useQuery({
    queryKey: ["preferences"],
    queryFn: ({ signal }) => ask<Preferences>("/api/preferences", { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const saving = useMutation({
    mutationFn: (next: Preferences) =>
      ask<unknown>("/api/preferences", { method: "PUT", body: next }),
    // Shown at once: the eye is waiting; a failure is said beside the setting.
    onMutate: (next) => client.setQueryData(["preferences"], next),
  });
  const preferences = query.data ?? FALLBACK;
  const known = query.data !== undefined;
  useEffect(() => {
    if (known) setColorScheme(preferences.theme === "system" ? "auto" : preferences.theme);
  }, [known, preferences.theme, setColorScheme]);
  const status = saving.isPending
    ? "saving"
    : saving.isError
      ? "failed"
      : saving.isSuccess
        ? "saved"
        : "idle";
  const settings = useMemo<Settings>(
    () => ({
      preferences,
      style: { locale: preferences.locale === "auto" ? undefined : preferences.locale },
      save: (change) => saving.mutate({ ...preferences, ...change }),
      saving: status,
    }),
    [preferences, saving.mutate, status],
  );
  return <SettingsContext value={settings}>{props.children}</SettingsContext>;
}

export function useSettings(): Settings {
  const settings = useContext(SettingsContext);
  if (settings === undefined) throw new Error("useSettings outside of SettingsProvider");
  return settings;
}
