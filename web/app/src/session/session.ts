import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { createClient, type Me, TollgateError, type User } from "@tollgate/react/core";
import { boot } from "../boot";

/** Tollgate's own pages sign in by cookie, so this client carries no token. */
export const client = createClient();

/** Who is signed in, or null. The server has already said so in the page, so nothing is fetched at first. */
export const sessionQuery = queryOptions<Me | null>({
  queryKey: ["session"],
  queryFn: () =>
    client.me().catch((error: unknown) => {
      if (error instanceof TollgateError && error.isSignedOut) return null;
      throw error;
    }),
  initialData: () => meOf(boot.user),
  staleTime: Number.POSITIVE_INFINITY,
  gcTime: Number.POSITIVE_INFINITY,
});

export function currentUser(queryClient: QueryClient): User | null {
  const held = queryClient.getQueryData(sessionQuery.queryKey);
  return (held === undefined ? boot.user : held?.user) ?? null;
}

export async function signIn(queryClient: QueryClient, email: string, password: string): Promise<User> {
  const { user } = await client.login(email, password);
  queryClient.setQueryData(sessionQuery.queryKey, meOf(user));
  return user;
}

/** Forgets the user here; the server's session is ended by `signOut`. */
export function forget(queryClient: QueryClient) {
  queryClient.clear();
  queryClient.setQueryData(sessionQuery.queryKey, null);
}

export async function signOut(queryClient: QueryClient): Promise<void> {
  // The session may be gone already; either way the page must forget the user.
  await client.logout().catch(() => undefined);
  forget(queryClient);
}

/** Where to go after signing in; never to another site. */
export function safeNext(next: string | undefined, user: User): string {
  if (next && /^\/(?![/\\])/.test(next)) return next;
  return user.role === "user" ? "/" : "/admin";
}

/** Who signed in with the page's own cookie looks as nobody else: that is done with a token of its own. */
function meOf(user: User | null): Me | null {
  return user ? { user, tenant: boot.tenant, impersonatedBy: null } : null;
}
