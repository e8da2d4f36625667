import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["tests/unit/js/**/*.test.js"], environment: "node", pool: "threads", watch: false },
});
