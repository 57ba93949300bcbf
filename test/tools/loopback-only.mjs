// Loaded into every Node process of a test with NODE_OPTIONS=--import=…: any name look-up or
// socket that would leave the loopback is refused and written to MOEBIUS_NETWORK_LOG, which
// the test then expects to be empty. The addon itself has no socket functions (checked apart).
import { appendFileSync } from 'node:fs'
import dgram from 'node:dgram'
import dns from 'node:dns'
import { isIP, Socket } from 'node:net'

const log = process.env.MOEBIUS_NETWORK_LOG
const loopback = /^(127\.|::1$|::ffff:127\.|localhost$|[^.]+\.localhost$)/

function refuse(what) {
  if (log) appendFileSync(log, `${process.pid} ${what}\n`)
  throw new Error(`${what} would leave this machine`)
}

function check(host, what) {
  if (host !== undefined && host !== '' && !loopback.test(String(host))) refuse(`${what} ${host}`)
}

const connect = Socket.prototype.connect
Socket.prototype.connect = function (...args) {
  const [first, second] = Array.isArray(args[0]) ? args[0] : args
  if (typeof first === 'object' && first !== null && !Array.isArray(first)) check(first.path ? undefined : first.host, 'connect')
  else if (typeof first === 'number') check(typeof second === 'string' ? second : undefined, 'connect')
  return connect.apply(this, args)
}

for (const name of ['lookup', 'resolve', 'resolve4', 'resolve6', 'resolveAny']) {
  const original = dns[name]
  dns[name] = function (host, ...rest) {
    if (!isIP(host)) check(host, `dns.${name}`)
    return original.call(this, host, ...rest)
  }
  const promised = dns.promises[name]
  if (promised) {
    dns.promises[name] = async function (host, ...rest) {
      if (!isIP(host)) check(host, `dns.${name}`)
      return promised.call(this, host, ...rest)
    }
  }
}

const send = dgram.Socket.prototype.send
dgram.Socket.prototype.send = function (...args) {
  check(args.findLast(value => typeof value === 'string'), 'datagram to')
  return send.apply(this, args)
}
