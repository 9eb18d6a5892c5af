/** Units, theme, locale. Applied at once and kept by the platform; what is stored of patients does not change. */
import { NativeSelect, SegmentedControl } from "@mantine/core";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { metricById } from "../../../src/vitals/metric.ts";
import type { Preferences } from "../../../src/ward/schema.ts";
import { useSettings } from "../look/settings.tsx";
import { readingText } from "../reading/units.ts";
import { dateTime, zoneName } from "../time/format.ts";
import "./preferences.css";

const LOCALES = ["en-GB", "en-US", "de-DE", "es-ES", "fr-FR", "nb-NO", "ja-JP", "ar-EG"];
/** Example values: 6.2 mmol/L of glucose, 37.4 °C, 72.5 kg; in the catalogue's own units. */
const EXAMPLES = [
  ["MDC_CONC_GLU_ISF", 112, 0],
  ["MDC_TEMP_BODY", 374, -1],
  ["MDC_MASS_BODY_ACTUAL", 725, -1],
] as const;

export function PreferencesScreen() {
  const { t } = useTranslation();
  const { preferences, style, save, saving } = useSettings();
  const nowMs = Date.now();
  return (
    <div className="page-narrow preferences">
      <h1 className="title">{t("preferences.title")}</h1>
      <p>{t("preferences.lead")}</p>
      <div className="panel preferences-panel">
        <Choice name="glucoseUnit" label={t("preferences.glucose")} values={["mg/dL", "mmol/L"]} />
        <Choice
          name="temperatureUnit"
          label={t("preferences.temperature")}
          values={["Cel", "[degF]"]}
        />
        <Choice name="weightUnit" label={t("preferences.weight")} values={["kg", "[lb_av]"]} />
        <Choice name="theme" label={t("preferences.theme")} values={["system", "light", "dark"]} />
        <NativeSelect
          label={t("preferences.locale")}
          value={preferences.locale}
          onChange={(event) => save({ locale: event.currentTarget.value })}
          data={[
            {
              value: "auto",
              label: t("preferences.localeAuto", { locale: localeName(navigator.language) }),
            },
            ...LOCALES.map((value) => ({ value, label: localeName(value) })),
          ]}
        />
        <p className="preferences-example">
          {t("preferences.example")}:{" "}
          <b className="numbers">
            {EXAMPLES.flatMap(([id, mantissa, exponent]) => {
              const metric = metricById(id);
              return metric
                ? [readingText(metric.mdc, mantissa, exponent, preferences, style)]
                : [];
            }).join(" · ")}{" "}
            · {dateTime(nowMs, style)}
          </b>
        </p>
        <p className="preferences-saved" aria-live="polite" data-state={saving}>
          {saving !== "idle" && t(`preferences.${saving}`)}
        </p>
      </div>
      <p>{t("preferences.zone", { zone: zoneName(nowMs, style, "long") })}</p>
    </div>
  );
}

function Choice<K extends "glucoseUnit" | "temperatureUnit" | "weightUnit" | "theme">(props: {
  name: K;
  label: string;
  values: readonly Preferences[K][];
}) {
  const { t } = useTranslation();
  const { preferences, save } = useSettings();
  const id = useId();
  const words = (value: Preferences[K]): string =>
    props.name === "theme"
      ? t(`preferences.themes.${value as Preferences["theme"]}`)
      : t(`preferences.units.${value as Exclude<Preferences[K], Preferences["theme"]>}`);
  return (
    <div className="preferences-choice">
      <span id={id}>{props.label}</span>
      <SegmentedControl
        aria-labelledby={id}
        value={preferences[props.name]}
        onChange={(value) => save({ [props.name]: value } as Partial<Preferences>)}
        data={props.values.map((value) => ({ value, label: words(value) }))}
      />
    </div>
  );
}

/** "English (United Kingdom)", in the browser's own language. */
function localeName(tag: string): string {
  return new Intl.DisplayNames(undefined, { type: "language" }).of(tag) ?? tag;
}
