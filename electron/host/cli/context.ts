// The context of a real command line: this process's streams, the native engine, the files of
// this machine.
import { writeSync } from 'node:fs'
import { createNativeEngine } from '../../engine/native'
import type { Engine } from '../../engine/types'
import { calibrationsIn } from './calibrations'
import type { CliContext } from './command'
import { findModel, type ModelPlaces } from './find-model'

export function processContext(places: ModelPlaces, signal: AbortSignal): CliContext {
  let engine: Engine | undefined
  return {
    engine: () => engine ??= createNativeEngine(),
    calibrations: calibrationsIn(places.database),
    resolveModel: name => new Promise(resolve => resolve(findModel(name, places))),
    writeOut: data => writeAll(1, data),
    writeError: text => writeAll(2, text),
    readStdin,
    signal,
    interactive: process.stderr.isTTY === true,
  }
}

// Written at once and in full, so that nothing is lost when the process ends and standard
// output is a pipe. A reader that went away (head) is no failure of ours.
function writeAll(descriptor: 1 | 2, data: string | Uint8Array): void {
  let rest: Uint8Array = typeof data === 'string' ? Buffer.from(data) : data
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
      else if (code === 'EPIPE') process.exit(0)
      else throw error
    }
  }
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}
