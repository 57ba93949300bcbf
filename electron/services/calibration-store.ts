// Where measurements are kept: one row for each processor, instruction set level and number of
// threads. The host and the command line share it.
import { Calibration, type Thresholds } from '../contract'
import type { Engine } from '../engine/types'

// The part of a database that this needs.
export interface CalibrationRows {
  prepare(sql: string): {
    get(...values: string[]): Record<string, unknown> | undefined
    run(...values: string[]): unknown
  }
}

// Of this machine with so many threads (0: physical cores); undefined before the first
// measurement, and when what is stored cannot be read.
export function readCalibration(rows: CalibrationRows, engine: Engine, threads: number): Calibration | undefined {
  const row = rows.prepare('SELECT value FROM calibration WHERE machine = ?').get(machineOf(engine, threads))
  if (row === undefined) return undefined
  try {
    return Calibration.safeParse(JSON.parse(String(row.value))).data
  } catch {
    return undefined  // not JSON: measured again when it is needed
  }
}

export function writeCalibration(rows: CalibrationRows, engine: Engine, threads: number, calibration: Calibration): void {
  rows.prepare('INSERT INTO calibration(machine, value) VALUES (?, ?) ON CONFLICT(machine) DO UPDATE SET value = excluded.value')
    .run(machineOf(engine, threads), JSON.stringify(calibration))
}

// Thresholds compare kernels: those of another version of the engine say nothing. Its limits hold.
export function thresholdsIn(calibration: Calibration | undefined, engine: Engine): Thresholds | undefined {
  return calibration?.engineVersion === engine.info().version ? calibration.thresholds : undefined
}

function machineOf(engine: Engine, threads: number): string {
  const { backends, cpuLevel, threads: cores } = engine.info()
  const brand = backends.find(({ id }) => id === 'cpu')?.device ?? ''
  return JSON.stringify([brand, cpuLevel, threads || cores])
}
