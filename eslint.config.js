import js from '@eslint/js'
import globals from 'globals'
import tseslint from 'typescript-eslint'
import { OLD_NAMES } from './scripts/old-names.mjs'

export default tseslint.config(
  { ignores: ['**/dist/**', '**/coverage/**', '**/.turbo/**', '**/.stryker/**', '**/next-env.d.ts'] },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      // A store over a synchronous driver keeps an asynchronous contract.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    files: ['**/*.{ts,tsx,js,mjs}'],
    rules: {
      'no-restricted-syntax': [
        'error',
        { selector: `Identifier[name=${String(OLD_NAMES)}]`, message: 'Use the standard name; see CONTRIBUTING.md.' },
      ],
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    ignores: ['examples/demo/page/**', 'packages/console/page/**'],
    languageOptions: { globals: globals.node },
  },
  { files: ['examples/demo/page/**', 'packages/console/page/**'], languageOptions: { globals: globals.browser } },
  {
    files: ['packages/*/src/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        {
          object: 'Math',
          property: 'random',
          message: 'Guessable. Use node:crypto, or take randomness as an argument.',
        },
      ],
    },
  },
  {
    files: ['packages/**/*.ts', 'examples/**/*.ts', 'internal/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: '^@baton/(?!client/|core/(options|store)$)[^/]+/|^(\\.\\./)+(packages/)?[^./]+/(src|dist|test)/',
              message: 'Import another package by its name, or by a subpath of its exports.',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['**/test/**/*.ts'],
    rules: {
      // Answers parsed from JSON are untyped; a wrong shape fails the assertion.
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
)
