// zod compiles parsers with eval, which the page's policy forbids. It decides when a schema
// is built, so this has to run before the contract is loaded.
import { z } from 'zod'

z.config({ jitless: true })
