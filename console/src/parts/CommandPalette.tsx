/** Type a name, a bed or a command; arrows and Enter. A combobox with a list (WAI-ARIA APG, "list autocomplete"). */

import { Modal } from "@mantine/core";
import { useId, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Signed } from "../api/session.ts";
import { useLive, useWard } from "../live/live.tsx";
import { useSettings } from "../look/settings.tsx";
import { DIALOG_CLASSES, DIALOG_HEADER } from "./dialog.ts";
import "./palette.css";
import { placeWords } from "./words.ts";

interface Entry {
  id: string;
  group: "patients" | "commands";
  label: string;
  detail?: string;
  run: () => void;
}
const SHOWN_MAX = 40;

interface PaletteProps {
  opened: boolean;
  onClose: () => void;
  role: Signed["person"]["role"];
  signOut: () => void;
}

export function CommandPalette(props: PaletteProps) {
  const { t } = useTranslation();
  return (
    <Modal
      attributes={DIALOG_HEADER}
      classNames={DIALOG_CLASSES}
      opened={props.opened}
      onClose={props.onClose}
      title={t("palette.title")}
      lockScroll={false}
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ "aria-label": t("proof.close") }}
      yOffset="10vh"
      size="lg"
    >
      {props.opened && <Palette {...props} />}
    </Modal>
  );
}

function Palette(props: PaletteProps) {
  const { t } = useTranslation();
  const listId = useId();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const entries = useEntries(props);
  const found = useMemo(() => match(entries, text), [entries, text]);
  const chosen = found[Math.min(at, found.length - 1)];
  const run = (entry: Entry | undefined) => {
    if (entry === undefined) return;
    props.onClose();
    entry.run();
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && found.length > 0) {
      event.preventDefault();
      setAt((Math.min(at, found.length - 1) + step + found.length) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(chosen);
    }
  };
  return (
    <div className="palette">
      <input
        data-autofocus
        role="combobox"
        aria-expanded="true"
        aria-controls={listId}
        aria-autocomplete="list"
        aria-activedescendant={chosen && `${listId}-${chosen.id}`}
        aria-label={t("palette.title")}
        placeholder={t("palette.placeholder")}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      <Found entries={found} chosen={chosen} listId={listId} run={run} />
      <p className="palette-hint">{t("palette.hint")}</p>
    </div>
  );
}

function Found(props: {
  entries: readonly Entry[];
  chosen: Entry | undefined;
  listId: string;
  run: (entry: Entry) => void;
}) {
  const { t } = useTranslation();
  if (props.entries.length === 0) return <p role="status">{t("palette.none")}</p>;
  return (
    <div role="listbox" id={props.listId} aria-label={t("palette.title")} className="palette-list">
      {(["patients", "commands"] as const).map((group) => {
        const entries = props.entries.filter((entry) => entry.group === group);
        if (entries.length === 0) return null;
        return (
          // biome-ignore lint/a11y/useSemanticElements: a group of options has no element of its own
          <div role="group" key={group} aria-label={t(`palette.${group}`)}>
            <p aria-hidden="true" className="palette-group">
              {t(`palette.${group}`)}
            </p>
            {entries.map((entry) => (
              // biome-ignore lint/a11y/useFocusableInteractive: focus stays in the field (aria-activedescendant)
              // biome-ignore lint/a11y/useKeyWithClickEvents: keys are handled by the field
              <div
                role="option"
                key={entry.id}
                id={`${props.listId}-${entry.id}`}
                aria-selected={entry === props.chosen}
                className="palette-entry"
                ref={entry === props.chosen ? intoView : undefined}
                onClick={() => props.run(entry)}
              >
                <span>{entry.label}</span>
                {entry.detail && <span className="palette-detail">{entry.detail}</span>}
              </div>
            ))}
          </div>
        );
      })}
    </div>
  );
}

function intoView(element: HTMLElement | null) {
  element?.scrollIntoView({ block: "nearest" });
}

function useEntries(props: PaletteProps): Entry[] {
  const { t } = useTranslation();
  const { board } = useLive();
  const { save } = useSettings();
  // The palette opens on pages that never asked for the ward, too.
  const { ids } = useWard(Number.POSITIVE_INFINITY);
  return useMemo(() => {
    const go = (hash: string) => () => {
      location.hash = hash;
    };
    const patients = ids.flatMap((id): Entry[] => {
      const facts = board.patient(id)?.facts;
      if (facts === undefined) return [];
      const detail = placeWords(t, facts);
      return [{ id, group: "patients", label: facts.name, detail, run: go(`/patients/${id}`) }];
    });
    const command = (id: string, label: string, run: () => void): Entry => ({
      id,
      group: "commands",
      label,
      run,
    });
    return [
      ...patients,
      command("ward", t("palette.goWard"), go("/ward")),
      command("preferences", t("palette.goPreferences"), go("/preferences")),
      ...(props.role === "administrator"
        ? [command("devices", t("palette.goDevices"), go("/devices"))]
        : []),
      command("light", t("palette.themeLight"), () => save({ theme: "light" })),
      command("dark", t("palette.themeDark"), () => save({ theme: "dark" })),
      command("system", t("palette.themeAuto"), () => save({ theme: "system" })),
      command("sign-out", t("palette.signOut"), props.signOut),
    ];
  }, [t, board, ids, save, props.role, props.signOut]);
}

/** Every typed word must be somewhere in label or detail; accents do not matter. */
function match(entries: readonly Entry[], text: string): Entry[] {
  const words = plain(text).split(/\s+/).filter(Boolean);
  return entries
    .filter((entry) => {
      const where = plain(`${entry.label} ${entry.detail ?? ""}`);
      return words.every((word) => where.includes(word));
    })
    .slice(0, SHOWN_MAX);
}

function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
