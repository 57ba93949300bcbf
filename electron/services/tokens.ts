// Keys for the REST server. Only their hashes are stored; a key is shown once, when it is made.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Scope } from '../contract'
import type { Db } from './storage'

export interface KnownToken { name: string, scopes: Scope[] }

const defaultScopes: readonly Scope[] = ['infer']

export class TokenService {
  constructor(private readonly db: Db) {}

  create(name: string, scopes: readonly Scope[] = defaultScopes): string {
    const token = `mb-${randomBytes(24).toString('base64url')}`
    this.db.prepare('INSERT INTO token(hash, name, scopes, created_at) VALUES (?, ?, ?, ?)').run(hashOf(token), name, scopes.join(' '), Date.now())
    return token
  }

  get isEmpty(): boolean { return this.db.prepare('SELECT 1 FROM token LIMIT 1').get() === undefined }

  // undefined for an unknown token. All hashes are compared, in constant time each.
  verify(token: string): KnownToken | undefined {
    const wanted = Buffer.from(hashOf(token), 'hex')
    const found = this.db.prepare('SELECT * FROM token').all().filter(({ hash }) => timingSafeEqual(Buffer.from(String(hash), 'hex'), wanted))[0]
    if (!found) return undefined
    this.db.prepare('UPDATE token SET last_used_at = ? WHERE hash = ?').run(Date.now(), String(found.hash))
    return { name: String(found.name), scopes: String(found.scopes).split(' ') as Scope[] }
  }
}

function hashOf(token: string): string { return createHash('sha256').update(token).digest('hex') }
