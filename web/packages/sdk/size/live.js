export { connectLive } from "../dist/core/index.js";
