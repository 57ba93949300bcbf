// Keys for the REST server. Only their hashes are stored; a key is shown once, when it is made.
import { createHash, randomBytes } from 'node:crypto'
import type { Scope } from '../contract'
import type { Db } from './storage'

export interface StoredToken { name: string, sha256: string, scopes: Scope[] }

const defaultScopes: readonly Scope[] = ['infer']

export class TokenService {
  constructor(private readonly db: Db) {}

  create(name: string, scopes: readonly Scope[] = defaultScopes): string {
    const token = `mb-${randomBytes(24).toString('base64url')}`
    const sha256 = createHash('sha256').update(token).digest('hex')
    this.db.prepare('INSERT INTO token(hash, name, scopes, created_at) VALUES (?, ?, ?, ?)').run(sha256, name, scopes.join(' '), Date.now())
    return token
  }

  list(): StoredToken[] {
    return this.db.prepare('SELECT hash, name, scopes FROM token ORDER BY created_at').all()
      .map(({ hash, name, scopes }) => ({ name: String(name), sha256: String(hash), scopes: String(scopes).split(' ') as Scope[] }))
  }

  didUse(name: string): void { this.db.prepare('UPDATE token SET last_used_at = ? WHERE name = ?').run(Date.now(), name) }
}
