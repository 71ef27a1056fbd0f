import { ActionIcon, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { Icon } from "./icons";

export function ThemeToggle() {
  const { setColorScheme } = useMantineColorScheme();
  const next = useComputedColorScheme("light") === "dark" ? "light" : "dark";
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size="lg"
      aria-label={`Switch to ${next} colors`}
      onClick={() => setColorScheme(next)}
    >
      <Icon name={next === "dark" ? "moon" : "sun"} />
    </ActionIcon>
  );
}
