// Forward only: what is released is never changed, the next change gets the next file.
import { migration as first } from './001-first'
import { migration as calibration } from './002-calibration'

export const migrations: readonly string[] = [first, calibration]
