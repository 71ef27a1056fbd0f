export { UsageMeter } from "../dist/components/index.js";
