// What was measured of this machine, in the database of the data folder: read for loads, kept
// after a measurement. The running program may have the database open, too.
import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { Thresholds } from '../../contract'
import type { Engine, MeasuredPeaks } from '../../engine/types'
import { readCalibration, thresholdsIn, writeCalibration } from '../../services/calibration-store'
import { openStorage } from '../../services/storage'

export interface Calibrations {
  // undefined before the first measurement with so many threads (0: physical cores).
  thresholds(engine: Engine, threads: number): Thresholds | undefined
  // Why it could not be kept; undefined when it was.
  keep(engine: Engine, threads: number, peaks: MeasuredPeaks): string | undefined
}

export function calibrationsIn(file: string): Calibrations {
  return {
    thresholds(engine, threads) {
      if (!existsSync(file)) return undefined
      try {
        return withDatabase(file, true, database => thresholdsIn(readCalibration(database, engine, threads), engine))
      } catch {
        return undefined  // no database this program understands: the engine's defaults
      }
    },
    keep(engine, threads, peaks) {
      try {
        if (!existsSync(file)) openStorage(file).close()
        withDatabase(file, false, database => writeCalibration(database, engine, threads, { ...peaks, engineVersion: engine.info().version, measuredAt: Date.now() }))
        return undefined
      } catch (error) {
        return error instanceof Error ? error.message : String(error)
      }
    },
  }
}

function withDatabase<T>(file: string, readOnly: boolean, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(file, { readOnly })
  try {
    database.exec('PRAGMA busy_timeout=5000')
    return work(database)
  } finally {
    database.close()
  }
}
