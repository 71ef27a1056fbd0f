import { boot } from "../boot";

/** The tenant's legal links; nothing where it has set none. */
export function Footer() {
  const { links, poweredBy } = boot.brand;
  const shown = [
    ["Terms", links.terms],
    ["Privacy", links.privacy],
    ["Support", links.support],
  ].filter(([, href]) => href) as [string, string][];
  if (shown.length === 0 && !poweredBy) return null;
  return (
    <footer className="footer">
      {shown.map(([label, href]) => (
        <a key={label} href={href}>
          {label}
        </a>
      ))}
      {poweredBy && <span>Powered by Tollgate</span>}
    </footer>
  );
}
