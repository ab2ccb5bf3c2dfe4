// esbuild gathers what is imported for its rules alone.
declare module "*.css";
