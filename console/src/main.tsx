/** Starts the console: theme, messages, fetching, and either the ward or the way to sign in. */
import "@mantine/core/styles.css";
import "./look/look.css";
import "./messages/messages.ts";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App.tsx";
import { isPassing } from "./api/client.ts";
import { theme } from "./look/theme.ts";

const RETRIES_MAX = 2;

const client = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (count, error) => count < RETRIES_MAX && isPassing(error),
      refetchOnWindowFocus: false,
      // The page says itself when it is cut off; it does not wait for the browser's opinion.
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <QueryClientProvider client={client}>
        <App />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
