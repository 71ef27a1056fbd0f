import { boot } from "../boot";

/** The tenant's logo, or its name where it has none. */
export function BrandMark() {
  const { logo, name } = boot.brand;
  if (logo) return <img className="brand-logo" src={logo} alt={name} height={32} />;
  return (
    <span className="brand-name">
      <span className="brand-tile" aria-hidden="true">
        {name.slice(0, 1).toUpperCase()}
      </span>
      {name}
    </span>
  );
}
