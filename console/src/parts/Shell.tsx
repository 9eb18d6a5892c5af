/** Around every screen: the banner, where one is, whether the line lives, and the way to everything else. */
import { Menu, UnstyledButton } from "@mantine/core";
import { Outlet, useRouterState } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { type Signed, useAbout } from "../api/session.ts";
import { useLine, useNow } from "../live/live.tsx";
import { useSettings } from "../look/settings.tsx";
import { clockTime, zonedTime, zoneName } from "../time/format.ts";
import { CommandPalette } from "./CommandPalette.tsx";
import { Mark } from "./Mark.tsx";

/** That recorded people are shown is the platform's word; until it came, what is true of every platform. */
export function Banner() {
  const { t } = useTranslation();
  const about = useAbout();
  return (
    <p className="banner" role="note">
      {about.data?.demonstration === true ? t("banner.demonstration") : t("banner.plain")}
    </p>
  );
}

/** The frame without navigation, for people who are not signed in. */
export function PlainShell(props: { children: ReactNode }) {
  return (
    <div className="shell">
      <header className="shell-head">
        <Banner />
      </header>
      <main className="page">{props.children}</main>
    </div>
  );
}

export function Shell(props: { person: Signed["person"]; signOut: () => void }) {
  const { t } = useTranslation();
  const [finding, setFinding] = useState(false);
  useShortcut(() => setFinding(true));
  const main = useFocusOnNavigation();
  return (
    <div className="shell">
      {/* biome-ignore lint/a11y/useValidAnchor: it goes somewhere: to the content; the address behind # is the router's */}
      <a
        className="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        {t("skip")}
      </a>
      <header className="shell-head">
        <Banner />
        <div className="bar">
          <a className="brand" href="#/ward" aria-label={`${t("product")}, ${t("nav.ward")}`}>
            <Mark />
            <span>{t("product")}</span>
          </a>
          <Navigation role={props.person.role} />
          <div className="bar-end">
            <LineState />
            <button type="button" className="find" onClick={() => setFinding(true)}>
              {t("nav.findShort")}
              {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: a kbd takes no focus */}
              <kbd aria-hidden="true">Ctrl K</kbd>
            </button>
            <PersonMenu {...props} />
          </div>
        </div>
        <LostBar />
      </header>
      <main className="page" id="content" tabIndex={-1} ref={main}>
        <Outlet />
      </main>
      <CommandPalette
        opened={finding}
        onClose={() => setFinding(false)}
        role={props.person.role}
        signOut={props.signOut}
      />
    </div>
  );
}

function Navigation(props: { role: Signed["person"]["role"] }) {
  const { t } = useTranslation();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const links = [
    { href: "#/ward", at: ["/ward", "/patients"], label: t("nav.ward") },
    ...(props.role === "administrator"
      ? [{ href: "#/devices", at: ["/devices"], label: t("nav.devices") }]
      : []),
    { href: "#/preferences", at: ["/preferences"], label: t("nav.preferences") },
  ];
  return (
    <nav aria-label={t("nav.label")}>
      {links.map((link) => (
        <a
          key={link.href}
          href={link.href}
          aria-current={link.at.some((at) => path.startsWith(at)) ? "page" : undefined}
        >
          {link.label}
        </a>
      ))}
    </nav>
  );
}

function PersonMenu(props: { person: Signed["person"]; signOut: () => void }) {
  const { t } = useTranslation();
  const { name, role } = props.person;
  return (
    <Menu position="bottom-end" shadow="md" withinPortal={false}>
      <Menu.Target>
        <UnstyledButton
          className="find"
          aria-label={`${initials(name)}: ${t("nav.menu", { name })}`}
        >
          <span aria-hidden="true">{initials(name)}</span>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {name}, {t(`role.${role}`)}
        </Menu.Label>
        <Menu.Item component="a" href="#/preferences">
          {t("nav.preferences")}
        </Menu.Item>
        <Menu.Item onClick={props.signOut}>{t("nav.signOut")}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => /^\p{Lu}/u.test(word));
  return `${words[0]?.[0] ?? "·"}${words.length > 1 ? (words.at(-1)?.[0] ?? "") : ""}`;
}

/** Live with the platform's time, or since when not. */
function LineState() {
  const { t } = useTranslation();
  const { style } = useSettings();
  const line = useLine();
  const nowMs = useNow();
  if (line.state === "live") {
    return (
      <span className="line numbers" data-state="live">
        {t("live.live")} {clockTime(nowMs, style)}
        <span className="line-zone">{zoneName(nowMs, style)}</span>
      </span>
    );
  }
  if (line.state === "connecting" || line.lastHeardMs === undefined) {
    return (
      <span className="line" data-state="connecting">
        {t("live.connecting")}
      </span>
    );
  }
  return (
    <span className="line numbers" data-state="lost">
      {t("live.lost", { time: clockTime(line.lastHeardMs + line.offsetMs, style) })}
    </span>
  );
}

function LostBar() {
  const { t } = useTranslation();
  const { style } = useSettings();
  const line = useLine();
  const since = line.lastHeardMs === undefined ? undefined : line.lastHeardMs + line.offsetMs;
  return (
    <div role="alert">
      {line.state === "lost" && since !== undefined && (
        <p className="lost">
          {t("live.lostLong", {
            time: clockTime(since, style),
            zone: zonedTime(since, style).split(" ").slice(1).join(" "),
          })}{" "}
          {t("live.again")}
        </p>
      )}
    </div>
  );
}

/** Ctrl K or ⌘ K anywhere, "/" outside of fields. */
function useShortcut(open: () => void) {
  const latest = useRef(open);
  latest.current = open;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = (event.target as HTMLElement | null)?.closest("input, textarea, select");
      const asked =
        (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) ||
        (event.key === "/" && !typing);
      if (!asked) return;
      event.preventDefault();
      latest.current();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

/** After going elsewhere the focus stands at the new content, so that keyboard and screen reader follow. */
function useFocusOnNavigation() {
  const main = useRef<HTMLElement>(null);
  const path = useRouterState({ select: (state) => state.location.pathname });
  const first = useRef(path);
  useEffect(() => {
    if (first.current === path) return;
    first.current = path;
    main.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [path]);
  return main;
}
