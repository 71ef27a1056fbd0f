export * from "../dist/components/index.js";
export * from "../dist/core/index.js";
export * from "../dist/index.js";
