/** The product's mark; says nothing to a screen reader, the name beside it does. */
export function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#1c5d99" />
      <path
        d="M4 17h6l3-8 5 15 3.5-7H28"
        fill="none"
        stroke="#fff"
        strokeWidth="2.6"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
