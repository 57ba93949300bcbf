// The rules of native/: who may include whom (native/includes.json), what no layer below
// addon/ may call, and how long files and functions may be. Returns one line per violation.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface NativeRules {
  mayInclude: Record<string, string[]>
  strict: string[]                          // layers that see only what they name, not what that sees
  platformHeaders: Record<string, string>   // pattern of a header -> the only folder that may include it
  pageOwners: string[]                      // files that may ask the system for memory
  codeTables: Record<string, string>        // file -> why it may be longer than the limit
}

export const maxFileLines = 500
export const maxFunctionLines = 100

const source = /\.(h|cc|cu|cuh|mm|metal)$/
const backend = /^kernels\/(reference|cpu|cuda|metal)\//

export function nativeFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map(file => file.replaceAll('\\', '/'))
    .filter(file => source.test(file) && !file.startsWith('build'))
    .sort()
}

export function checkNative(root: string, rules: NativeRules): string[] {
  return nativeFiles(root).flatMap(file => {
    const text = readFileSync(join(root, file), 'utf8')
    const code = withoutCommentsAndStrings(text)
    return [
      ...checkIncludes(file, text, rules), ...checkCalls(file, code, rules),
      ...(file in rules.codeTables ? [] : checkLengths(file, code)),
    ]
  })
}

function reachable(layer: string, rules: NativeRules, seen = new Set([layer])): Set<string> {
  for (const below of rules.mayInclude[layer] ?? []) {
    if (!seen.has(below)) reachable(below, rules, seen.add(below))
  }
  return seen
}

function checkIncludes(file: string, text: string, rules: NativeRules): string[] {
  const layer = file.split('/')[0] ?? ''
  const direct = rules.mayInclude[layer]
  if (!direct) return [`${file}: the folder ${layer} is no layer of includes.json`]
  const allowed = rules.strict.includes(layer) ? new Set([layer, ...direct]) : reachable(layer, rules)
  return text.split('\n').flatMap((line, i) => {
    const header = /^\s*#\s*(?:include|import)\s+["<]([^">]+)[">]/.exec(line)?.[1]
    if (header === undefined) return []
    const at = `${file}:${i + 1}`
    const found: string[] = []
    const target = header.split('/')[0] ?? ''
    if (target in rules.mayInclude && !allowed.has(target)) found.push(`${at}: ${layer} must not include ${target}`)
    const [mine, theirs] = [backend.exec(file)?.[1], backend.exec(header)?.[1]]
    if (mine && theirs && mine !== theirs) found.push(`${at}: kernels/${mine} must not include kernels/${theirs}`)
    for (const [pattern, home] of Object.entries(rules.platformHeaders)) {
      if (new RegExp(pattern).test(header) && !file.startsWith(home)) found.push(`${at}: ${header} only in ${home}`)
    }
    return found
  })
}

const forbiddenCalls: [RegExp, string][] = [
  [/(?<![\w.>:])(?:std::)?(?:exit|_exit|_Exit|quick_exit|abort|terminate)\s*\(/, 'never ends the process: throw Error'],
  [/(?<![\w.>:])(?:std::)?(?:printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror)\s*\(|std::(?:cout|cerr|clog)\b/, 'never prints'],
]
const allocations: [RegExp, string][] = [
  [/(?<![\w.>:])(?:std::)?(?:malloc|calloc|realloc|posix_memalign|aligned_alloc|_aligned_malloc|_mm_malloc|memalign)\s*\(/, 'heap memory: use PageBuffer'],
  [/\bnew\s+(?:\([^)]*\)\s*)?[A-Za-z_][\w:<>,\s*]*\[/, 'array new: use PageBuffer or std::vector'],
  [/\bmake_(?:unique|shared)(?:_for_overwrite)?<[^;()]*\[\]>/, 'array on the heap: use PageBuffer or std::vector'],
]
const pageCalls = /(?<![\w.>])(?:::)?(?:mmap|mmap64|VirtualAlloc|MapViewOfFile|vm_allocate|mach_vm_allocate)\s*\(/

function checkCalls(file: string, code: string, rules: NativeRules): string[] {
  const checks = file.startsWith('addon/') ? allocations : [...forbiddenCalls, ...allocations]
  return code.split('\n').flatMap((line, i) => {
    const at = `${file}:${i + 1}`
    const found = checks.filter(([pattern]) => pattern.test(line)).map(([, why]) => `${at}: ${why}`)
    if (pageCalls.test(line) && !rules.pageOwners.includes(file)) found.push(`${at}: only PageBuffer and MappedFile ask for pages`)
    return found
  })
}

// Bodies of functions start with a brace at the end of an unindented statement and end with a
// lone brace in the first column; namespaces and types are told apart by their first word.
function checkLengths(file: string, code: string): string[] {
  const lines = code.trimEnd().split('\n')
  const found = lines.length > maxFileLines ? [`${file}: ${lines.length} lines, at most ${maxFileLines}`] : []
  let start = -1
  let statement = ''
  lines.forEach((line, i) => {
    if (line === '}' && start >= 0) {
      const length = i - start + 1
      if (length > maxFunctionLines) found.push(`${file}:${start + 1}: a function of ${length} lines, at most ${maxFunctionLines}`)
    }
    if (/^[}#]/.test(line) || line.trim() === '') { statement = ''; start = -1; return }
    if (start >= 0) return
    statement += line + ' '
    if (/[;]\s*$/.test(line)) { statement = ''; return }
    if (!/\{\s*$/.test(line)) return
    const isType = /^\s*(?:inline\s+)?(?:template\s*<[^{]*>\s*)?(?:namespace|struct|class|enum|union|extern)\b[^()]*\{\s*$/.test(statement)
    if (!isType && statement.includes('(')) start = i
    statement = ''
  })
  return found
}

// Same number of lines, so that positions stay true.
function withoutCommentsAndStrings(text: string): string {
  return text.replace(/R"(\w*)\([\s\S]*?\)\1"|\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'/g, match => {
    const newlines = match.replace(/[^\n]/g, '')
    return match.startsWith('/') ? newlines : `""${newlines}`
  })
}
