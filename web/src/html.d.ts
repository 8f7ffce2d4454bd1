// Parts of pages that the build takes into a script as text.
declare module '*.html' {
  const text: string;
  export default text;
}
