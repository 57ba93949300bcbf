// The bundler's way to import a file as text.
declare module '*?raw' {
  const text: string
  export default text
}
