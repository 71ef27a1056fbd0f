import "../ui/styles";
import { RouterProvider } from "@tanstack/react-router";
import { sessionQuery } from "../session/session";
import { mount, newQueryClient } from "../ui/root";
import { makeRouter } from "./router";

const queryClient = newQueryClient();

// Vite's own server writes no user into the page, so there the session has to be asked for.
if (import.meta.env.DEV) await queryClient.fetchQuery({ ...sessionQuery, staleTime: 0 });

mount(queryClient, <RouterProvider router={makeRouter(queryClient)} />);
