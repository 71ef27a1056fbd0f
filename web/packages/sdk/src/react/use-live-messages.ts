import { useEffect, useRef } from "react";
import type { LiveMessage } from "../core/index.js";
import { useTollgate } from "./provider.js";

/**
 * Hears what the live connection says beside quotas, such as `customer.updated`. After a `resync` some messages were
 * missed, so whatever they would have told has to be fetched again.
 */
export function useLiveMessages(hear: (message: LiveMessage) => void): void {
  const { hearers } = useTollgate();
  const newest = useRef(hear);
  useEffect(() => {
    newest.current = hear;
  });
  useEffect(() => {
    const tell = (message: LiveMessage) => newest.current(message);
    hearers.add(tell);
    return () => void hearers.delete(tell);
  }, [hearers]);
}
