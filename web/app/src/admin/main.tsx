import "../ui/styles";
import { mount, newQueryClient } from "../ui/root";
import { AdminPage } from "./admin-page";

mount(newQueryClient(), <AdminPage />);
