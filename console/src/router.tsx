/** Addresses live behind the `#`: they never reach a server, so no patient's id is in anybody's access log. */
import {
  createHashHistory,
  createRootRoute,
  createRoute,
  createRouter,
  redirect,
} from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import type { Signed } from "./api/session.ts";
import { Shell } from "./parts/Shell.tsx";
import { StateScreen } from "./parts/StateScreen.tsx";
import { DevicesScreen } from "./screens/Devices.tsx";
import { PatientScreen, parseSpan } from "./screens/Patient.tsx";
import { PreferencesScreen } from "./screens/Preferences.tsx";
import { WardScreen } from "./screens/Ward.tsx";

export function makeRouter(person: Signed["person"], signOut: () => void) {
  const root = createRootRoute({
    component: () => <Shell person={person} signOut={signOut} />,
    notFoundComponent: NotFound,
  });
  const index = createRoute({
    getParentRoute: () => root,
    path: "/",
    beforeLoad: () => {
      throw redirect({ to: person.role === "administrator" ? "/devices" : "/ward" });
    },
  });
  const ward = createRoute({
    getParentRoute: () => root,
    path: "/ward",
    component: WardScreen,
  });
  const patient = createRoute({
    getParentRoute: () => root,
    path: "/patients/$id",
    validateSearch: parseSpan,
    component: PatientScreen,
  });
  const preferences = createRoute({
    getParentRoute: () => root,
    path: "/preferences",
    component: PreferencesScreen,
  });
  const devices = createRoute({
    getParentRoute: () => root,
    path: "/devices",
    component: person.role === "administrator" ? DevicesScreen : AdminOnly,
  });
  return createRouter({
    routeTree: root.addChildren([index, ward, patient, preferences, devices]),
    history: createHashHistory(),
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}

function NotFound() {
  const { t } = useTranslation();
  return (
    <StateScreen title={t("state.notFoundTitle")} words={t("state.notFound")}>
      <a href="#/ward">{t("state.toWard")}</a>
    </StateScreen>
  );
}

function AdminOnly() {
  const { t } = useTranslation();
  return (
    <StateScreen title={t("state.adminOnlyTitle")} words={t("state.adminOnly")}>
      <a href="#/ward">{t("state.toWard")}</a>
    </StateScreen>
  );
}
