import js from "@eslint/js";
import jsxA11y from "eslint-plugin-jsx-a11y";
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "src/api/generated"] },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [
      ...tseslint.configs.strictTypeChecked,
      ...tseslint.configs.stylisticTypeChecked,
      jsxA11y.flatConfigs.strict,
      reactHooks.configs.flat["recommended-latest"],
    ],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // TanStack Router throws redirects and notFound(), which are no errors.
      "@typescript-eslint/only-throw-error": "off",
    },
  },
  {
    files: ["scripts/**"],
    languageOptions: { globals: { URL: false, console: false, process: false } },
  },
  {
    files: ["public/**"],
    languageOptions: { globals: { document: false, localStorage: false, matchMedia: false } },
  },
);
