/** A state that others can watch, in the shape that React's `useSyncExternalStore` takes. */
export function observable<State>(first: State) {
  let state = first;
  const listeners = new Set<() => void>();
  return {
    get: () => state,
    set(next: State) {
      state = next;
      for (const listener of listeners) listener();
    },
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
