// Icons drawn on a 16-pixel grid, in the colour of the text beside them.
const paths = {
  mesh: 'M8 8 3.5 4.500M8 8l5-3M8 8l-1.5 5.500M8 8h.01',
  files: 'M2.5 4.500v8h11v-7H8L6.5 3.500h-4z',
  work: 'M8.5 2 4 9h3.500L7 14l5-7.500H8.500z',
  credits: 'M8 2.500a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v6M6 6.500c0-1 4-1 4 0S6 8.5 6 9.500s4 1 4 0',
  modules: 'M8 2 13.5 5v6L8 14 2.5 11V5zM2.5 5 8 8l5.5-3M8 8v6',
  node: 'M2.5 3.500h11v4h-11zM2.5 8.500h11v4h-11zM5 5.500h.01M5 10.500h.01',
  live: 'M2.5 9.500 8 3l2 5 3.500 1-6 4.500.5-4z',
  play: 'M5 3.500v9l7.5-4.500z',
  pause: 'M5.5 3.500v9M10.5 3.500v9',
  plus: 'M8 3v10M3 8h10',
  close: 'M4 4l8 8M12 4l-8 8',
  search: 'M7 2.500a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.5 10.5 13.5 13.5',
  copy: 'M5.5 5.500h7v7h-7zM3.5 10.500v-7h7',
  check: 'M3 8.5 6.5 12 13 4.5',
  download: 'M8 2.500v8M4.5 7 8 10.5 11.5 7M3 13.500h10',
  upload: 'M8 10.500v-8M4.5 6 8 2.5 11.5 6M3 13.500h10',
  trash: 'M3 4.500h10M6.5 4V2.500h3V4M4.5 4.500l.5 9h6l.5-9',
  back: 'M10 3 5 8l5 5',
  next: 'M6 3l5 5-5 5',
  file: 'M4 2.500h5l3 3v8H4zM9 2.500v3h3',
  folder: 'M2.5 4.500v8h11v-7H8L6.5 3.500h-4z',
  sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.500M8 13.500V15M1 8h1.500M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  moon: 'M13 9.500A5.5 5.5 0 1 1 6.5 3a4.5 4.5 0 0 0 6.5 6.500z',
  auto: 'M8 2.500a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 2.500v11M9.5 5.500h2M9.5 8h3.500M9.5 10.500h2',
  help: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M6.300 6.200c.2-2 3.400-2 3.400 0C9.700 7.5 8 7.600 8 9M8 11.500h.01',
  out: 'M6.5 3h-3v10h3M7 8h6.500M11 5l3 3-3 3',
  link: 'M7 9.5 9.5 7M6.5 6 5 7.500a2.5 2.5 0 0 0 3.5 3.500L9 10.500M9.5 10 11 8.500A2.5 2.5 0 0 0 7.5 5L7 5.5',
  warn: 'M8 2.5 14 13H2zM8 6.500v3M8 11.200h.01',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
      {name === 'mesh' && (
        <g className="icon-fill">
          <circle cx="8" cy="8" r="2.200" />
          <circle cx="3" cy="4" r="1.5" />
          <circle cx="13.300" cy="4.800" r="1.5" />
          <circle cx="6.300" cy="13.700" r="1.5" />
        </g>
      )}
    </svg>
  );
}
