/** Built-in modules as files of the page (vite.config.ts). */
declare module 'builtin:*' {
  const address: string;
  export default address;
}
