/** Gives the screens the live ward: hooks over the one line and the one board of this page. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from "react";
import type { Ward } from "../../../src/ward/schema.ts";
import { ask } from "../api/client.ts";
import { Board, type LivePatient } from "./board.ts";
import { Line, type LineState } from "./connection.ts";

interface Live {
  board: Board;
  line: Line;
}
const LiveContext = createContext<Live | undefined>(undefined);

export function LiveProvider(props: { children: ReactNode }) {
  const client = useQueryClient();
  const live = useMemo(() => {
    const board = new Board();
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`;
    const line = new Line(
      url,
      (message) => board.hear(message),
      // What came while the line was away is fetched, never guessed.
      () =>
        void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "session" }),
    );
    return { board, line };
  }, [client]);
  useEffect(() => {
    live.line.start();
    return () => live.line.stop();
  }, [live]);
  return <LiveContext value={live}>{props.children}</LiveContext>;
}

export function useLive(): Live {
  const live = useContext(LiveContext);
  if (live === undefined) throw new Error("useLive outside of LiveProvider");
  return live;
}

/** The ward as the platform last told it, kept in the board.
 * @param staleTime for this long what is known is not asked for again; each asking opens every patient's record. */
export function useWard(staleTime = 0) {
  const { board } = useLive();
  const query = useQuery({
    queryKey: ["ward"],
    queryFn: async ({ signal }) => {
      const ward = await ask<Ward>("/api/ward", { signal });
      board.take(ward);
      return { withheld: ward.withheld };
    },
    staleTime,
  });
  const ids = useSyncExternalStore(board.subscribeOrder, () => board.ids);
  return { ...query, ids };
}

export function usePatient(id: string): LivePatient | undefined {
  const { board } = useLive();
  return useSyncExternalStore(
    useCallback((listener) => board.subscribe(id, listener), [board, id]),
    () => board.patient(id),
  );
}

export function useLine(): LineState {
  const { line } = useLive();
  return useSyncExternalStore(line.subscribe, () => line.state);
}

/** The platform's time now, told anew every `everyMs`; one timer a caller. The timers start spread over that
 * time: thirty rows redrawn in one frame would cost the waveforms theirs. */
export function useNow(everyMs = 1_000): number {
  const { line } = useLive();
  const [nowMs, setNowMs] = useState(() => Date.now() + line.state.offsetMs);
  useEffect(() => {
    const tell = () => setNowMs(Date.now() + line.state.offsetMs);
    let every: ReturnType<typeof setInterval> | undefined;
    const first = setTimeout(() => {
      tell();
      every = setInterval(tell, everyMs);
    }, Math.random() * everyMs);
    return () => {
      clearTimeout(first);
      clearInterval(every);
    };
  }, [line, everyMs]);
  return nowMs;
}
