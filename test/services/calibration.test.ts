import { expect, test } from 'vitest'
import { CalibrationService } from '../../electron/services/calibration'
import { Turns } from '../../electron/services/turns'
import { codeOf, openWithModel, openWorkplace, until } from './workplace'

test('measures once, keeps it, and measures again when asked', async () => {
  const { folder, engine, calibration, db, settings, models, log } = openWorkplace()
  const seen: string[] = []
  calibration.onDidChange.on(({ phase, progress }) => seen.push(`${phase} ${progress}`))
  expect(calibration.status()).toEqual({ phase: 'idle', progress: 0 })
  const [a, b] = await Promise.all([calibration.get(), calibration.get()])
  expect(a).toEqual(b)
  expect(a).toMatchObject({ cpuBrand: 'Fake CPU', threads: 2, readBytesPerSecond: 1e10 })
  expect(Math.abs(Date.now() - a.measuredAt)).toBeLessThan(60_000)
  expect(seen).toEqual(['waiting 0', 'measuring 0', ...[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1].map(progress => `measuring ${progress}`), 'idle 0'])
  expect(await calibration.get()).toEqual(a)
  expect(engine.nCalibrations).toBe(1)
  expect((await calibration.get({ again: true })).readBytesPerSecond).toBe(2e10)
  expect(new CalibrationService(db, engine, settings, models, log).stored?.readBytesPerSecond).toBe(2e10)
  // Another number of threads reaches other limits.
  settings.update({ threads: 7 })
  expect(calibration.status().calibration).toBeUndefined()
  expect((await calibration.get()).threads).toBe(7)
  settings.update({ threads: 0 })
  expect(calibration.status().calibration?.readBytesPerSecond).toBe(2e10)
  expect(folder).not.toBe('')
})

test('what is stored but unreadable is measured again', async () => {
  const { calibration, db } = openWorkplace()
  await calibration.get()
  for (const value of ['not JSON', '{"threads":2}']) {
    db.prepare('UPDATE calibration SET value = ?').run(value)
    expect(calibration.stored).toBeUndefined()
  }
  expect((await calibration.get()).readBytesPerSecond).toBe(2e10)
})

test('a load uses the thresholds of this machine, once they are measured', async () => {
  const { engine, calibration, models, settings, db } = await openWithModel()
  await models.load('tiny')
  await calibration.get()
  await models.unload('tiny')
  await models.load('tiny')
  const measured = { tileColumns: { F32: 16, Q4_K: 5 }, mlaAbsorbedCost: 1.5, mlaExpandsFrom: 98, mlaHistory: 4096 }
  expect(engine.loadOptions.map(({ thresholds }) => thresholds)).toEqual([undefined, measured])
  // Those of other threads are another machine's.
  await models.unload('tiny')
  settings.update({ threads: 7 })
  await models.load('tiny')
  settings.update({ threads: 0 })
  // Of another version of the engine, too; its limits still hold.
  const row = String(db.prepare('SELECT value FROM calibration').get()?.value)
  db.prepare('UPDATE calibration SET value = ?').run(row.replace(/"engineVersion":"[^"]*"/, '"engineVersion":"0.0.0-older"'))
  await models.unload('tiny')
  await models.load('tiny')
  expect(engine.loadOptions.slice(2).map(({ thresholds }) => thresholds)).toEqual([undefined, undefined])
  expect(calibration.status().calibration?.readBytesPerSecond).toBe(1e10)
  expect((await calibration.get()).thresholds?.tileColumns).toEqual({ F32: 16, Q4_K: 6 })
})

test('limits that were stored before there were thresholds still show, and are measured again when asked for', async () => {
  const { engine, calibration, db, models } = await openWithModel()
  const { thresholds, engineVersion, ...old } = await calibration.get()
  expect(engineVersion).toBe(engine.info().version)
  expect(thresholds?.mlaAbsorbedCost).toBe(1.5)
  db.prepare('UPDATE calibration SET value = ?').run(JSON.stringify(old))
  expect(calibration.stored).toEqual(old)
  await models.load('tiny')
  expect(engine.loadOptions.map(({ thresholds }) => thresholds)).toEqual([undefined])
  expect((await calibration.get()).thresholds?.tileColumns).toEqual({ F32: 16, Q4_K: 6 })
  // Values that no engine takes are no measurement.
  for (const broken of [{ tileColumns: { Q4_K: 0 } }, { tileColumns: { Q4_K: 129 } }, { mlaAbsorbedCost: 9 }]) {
    db.prepare('UPDATE calibration SET value = ?').run(JSON.stringify({ ...old, engineVersion, thresholds: { ...thresholds, ...broken } }))
    expect(calibration.stored).toBeUndefined()
  }
})

test('waits for the answer that runs, and answers wait for it', async () => {
  const { engine, inference, calibration, models } = await openWithModel({ tokenDelayMs: 5, calibrateDelayMs: 50 })
  await models.load('tiny')
  const order: string[] = []
  const generate = (name: string): Promise<void> => inference.generate(
    { modelId: 'tiny', messages: [{ role: 'user', content: 'one two three' }] },
    { onContent: () => { if (engine.calibrating) order.push(`${name} beside the measurement`) } }).then(() => { order.push(name) })
  const first = generate('first')
  await until(() => models.status().activeGenerations === 1, 'the first answer runs')
  const measured = calibration.get().then(() => { order.push('measured') })
  expect(calibration.status().phase).toBe('waiting')
  await first
  await until(() => engine.calibrating, 'the measurement runs')
  await Promise.all([measured, generate('second')])
  expect(order).toEqual(['first', 'measured', 'second'])
})

test('is given up when nobody waits for it any more', async () => {
  const { engine, calibration, models } = await openWithModel({ calibrateDelayMs: 200 })
  const first = new AbortController()
  const second = new AbortController()
  const results = [codeOf(calibration.get({ signal: first.signal })), codeOf(calibration.get({ signal: second.signal }))]
  await until(() => engine.calibrating, 'the measurement runs')
  first.abort()
  expect(await results[0]).toBe('E_CANCELLED')
  expect(calibration.status().phase).toBe('measuring')
  second.abort()
  expect(await results[1]).toBe('E_CANCELLED')
  await until(() => calibration.status().phase === 'idle', 'the measurement stops')
  expect(engine.nCalibrations).toBe(0)
  // Also while it waits for its turn, and when it was cancelled before it began.
  await models.load('tiny')
  await models.use('tiny', {}, async () => {
    const third = new AbortController()
    const waiting = codeOf(calibration.get({ signal: third.signal }))
    third.abort()
    expect(await waiting).toBe('E_CANCELLED')
    expect(await codeOf(calibration.get({ signal: AbortSignal.abort() }))).toBe('E_CANCELLED')
    await until(() => calibration.status().phase === 'idle', 'nobody waits')
  })
  expect((await calibration.get()).threads).toBe(2)
})

test('closing the service ends a measurement', async () => {
  const { engine, calibration } = openWorkplace({ calibrateDelayMs: 500 })
  const result = codeOf(calibration.get())
  await until(() => engine.calibrating, 'the measurement runs')
  await calibration.close()
  expect(engine.calibrating).toBe(false)
  expect(await result).toBe('E_CANCELLED')
})

test('turns: sharing nests, and one alone lets go also when it fails', async () => {
  const turns = new Turns()
  expect(await turns.share(() => turns.share(() => Promise.resolve(1)))).toBe(1)
  await expect(turns.takeAlone(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
  const order: number[] = []
  await Promise.all([3, 1, 2].map(n => turns.takeAlone(async () => {
    order.push(n)
    await new Promise(resolve => { setTimeout(resolve, 5) })
    order.push(-n)
  })))
  expect(order).toEqual([3, -3, 1, -1, 2, -2])
})

test('the first run measures by itself, gives way to loads, and tries again', async () => {
  const { engine, calibration, models } = await openWithModel({ calibrateDelayMs: 300 })
  calibration.measureWhenIdle(0)
  await until(() => calibration.status().phase === 'measuring', 'it measures')
  await models.load('tiny')
  expect(calibration.stored).toBeUndefined()
  expect(engine.nCalibrations).toBe(0)
  calibration.measureWhenIdle(0)
  await until(() => calibration.stored !== undefined, 'it measured at last')
  expect(engine.nCalibrations).toBe(1)
  calibration.measureWhenIdle(0)
  await new Promise(resolve => setTimeout(resolve, 20))
  expect(calibration.status().phase).toBe('idle')
})

test('a host that closes during its first run leaves nothing behind', async () => {
  const { engine, calibration, db } = await openWithModel({ calibrateDelayMs: 200 })
  calibration.measureWhenIdle(0)
  await until(() => calibration.status().phase === 'measuring', 'it measures')
  await calibration.close()
  db.close()
  calibration.measureWhenIdle(0)
  await new Promise(resolve => setTimeout(resolve, 30))
  expect(engine.nCalibrations).toBe(0)
})

test('who asks during the first run keeps it: loads wait', async () => {
  const { engine, calibration, models } = await openWithModel({ calibrateDelayMs: 200 })
  calibration.measureWhenIdle(0)
  await until(() => calibration.status().phase === 'measuring', 'it measures')
  const asked = calibration.get()
  await models.load('tiny')
  expect((await asked).threads).toBe(2)
  expect([engine.nCalibrations, engine.loadOptions.length]).toEqual([1, 1])
})

test('a first run that gives way leaves later questions alone', async () => {
  const { engine, calibration, models } = await openWithModel({ calibrateDelayMs: 200 })
  calibration.measureWhenIdle(0)
  await until(() => calibration.status().phase === 'measuring', 'it measures')
  const loaded = models.load('tiny')
  await until(() => engine.loadOptions.length === 1 || calibration.status().phase !== 'measuring', 'it gave way')
  expect((await calibration.get()).threads).toBe(2)
  await loaded
  expect(engine.nCalibrations).toBe(1)
})
