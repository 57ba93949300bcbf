// The arrows of ARCHITECTURE.md, checked.
const electron = '(^|/)node_modules/electron/'
const forbid = (name, from, to) => ({ name, severity: 'error', from, to })

module.exports = {
  forbidden: [
    forbid('contract-is-pure', { path: '^electron/contract/' }, { pathNot: '^electron/contract/|node_modules/zod/' }),
    forbid('renderer-sees-only-the-contract', { path: '^renderer/' }, { path: '^(electron/(?!contract/)|native/)' }),
    forbid('renderer-has-no-node-builtins', { path: '^renderer/' }, { dependencyTypes: ['core'] }),
    forbid('only-engine-native-loads-the-addon', { pathNot: '^(electron/engine/native[.]ts$|native/|test/)' }, { path: '^native/', dependencyTypesNot: ['type-only'] }),
    forbid('only-the-engine-knows-the-addon', { pathNot: '^(electron/engine/|native/|test/)' }, { path: '^native/' }),
    forbid('electron-only-in-main-and-preload', { path: '^(electron|renderer)/', pathNot: '^electron/(main|preload)/' }, { path: electron }),
    forbid('services-do-not-call-transport', { path: '^electron/(services|engine)/' }, { path: '^electron/(wire|rest|host|main|preload)/' }),
    forbid('engine-does-not-call-services', { path: '^electron/engine/' }, { path: '^electron/services/' }),
    forbid('transport-does-not-call-engine', { path: '^electron/(rest|wire)/' }, { path: '^electron/engine/' }),
    forbid('shared-components-know-no-store', { path: '^renderer/(components|composables)/' }, { path: '^renderer/(stores|api|features)/' }),
    forbid('features-are-islands', { path: '^renderer/features/([^/]+)/' }, { path: '^renderer/features/', pathNot: '^renderer/features/$1/' }),
    forbid('only-stores-call-the-api', { path: '^renderer/', pathNot: '^renderer/(stores|api)/' }, { path: '^renderer/api/' }),
    forbid('no-cycles', {}, { circular: true }),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(out|native/build|[.]cache)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
  },
}
