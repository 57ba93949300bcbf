// What the user chose. Stored key by key, so that one unreadable value costs only itself.
import { Settings } from '../contract'
import { Emitter } from './emitter'
import type { Db } from './storage'

export const defaultSettings: Settings = {
  theme: 'system',
  locale: 'system',
  lastModelId: '',
  maxSeqLen: 0,
  cacheFormat: 'f16',
  threads: 0,
  exact: false,
  bf16Attention: false,
  expertMemory: {},
  sampling: { temperature: 0.8, samplingTopK: 40, topP: 0.95, minP: 0.05, repeatPenalty: 1, seed: -1, maxTokens: 0, draft: 'auto', draftTokens: 1 },
  systemPrompt: '',
  serverPort: 7117,
  serverEnabled: false,
  serverRequireToken: false,
  modelFolders: [],
  showRoutingStrip: true,
  reduceMotion: 'system',
}

export class SettingsService {
  readonly onDidChange = new Emitter<Settings>()
  private current: Settings

  constructor(private readonly db: Db) {
    this.current = { ...defaultSettings }
    for (const { key, value } of db.prepare('SELECT key, value FROM setting').all()) this.adopt(String(key), String(value))
  }

  get value(): Settings { return this.current }

  update(patch: Partial<Settings>): Settings {
    const changes = Object.entries(patch).filter(([, value]) => value !== undefined)
    const next = Settings.parse({ ...this.current, ...Object.fromEntries(changes) })
    const write = this.db.prepare('INSERT INTO setting(key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value')
    this.db.transaction(() => {
      for (const [key, value] of changes) write.run(key, JSON.stringify(value))
    })
    this.current = next
    this.onDidChange.emit(next)
    return next
  }

  reset(): Settings {
    this.db.exec('DELETE FROM setting')
    this.current = { ...defaultSettings }
    this.onDidChange.emit(this.current)
    return this.current
  }

  private adopt(key: string, json: string): void {
    const schema = new Map(Object.entries(Settings.shape)).get(key)
    try {
      const parsed = schema?.safeParse(JSON.parse(json))
      if (parsed?.success) this.current = { ...this.current, [key]: parsed.data }
    } catch {
      // Not JSON: the default stays.
    }
  }
}
