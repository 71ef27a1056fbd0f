import { useQuotaExceeded } from "@tollgate/react";
import { QuotaExceededDialog } from "@tollgate/react/components";
import type { ProblemAction } from "@tollgate/react/core";
import { useState } from "react";
import { boot } from "../boot";
import { labels } from "./words";

/** The quota dialog of the whole portal: any refused call opens it. */
export function QuotaDialog() {
  const { problem, dismiss } = useQuotaExceeded();
  const [asked, setAsked] = useState<ProblemAction>();

  function close() {
    setAsked(undefined);
    dismiss();
  }

  return (
    <QuotaExceededDialog
      problem={problem}
      onClose={close}
      onAction={setAsked}
      labels={labels}
      locale={boot.locale}
      note={asked && <HowTo action={asked} />}
    />
  );
}

/** Buying is not on these pages yet, and the user is told who can do it instead. */
function HowTo({ action }: { action: ProblemAction }) {
  const { support } = boot.brand.links;
  const what: Partial<Record<string, string>> = {
    upgrade: "change your plan",
    topUp: "buy a top-up",
    contactSales: "talk to sales",
    delete: "free space",
  };
  return (
    <>
      To {what[action.type] ?? "go on"},{" "}
      {support ? <a href={support}>write to {boot.brand.name}</a> : <>ask your contact at {boot.brand.name}</>}.
    </>
  );
}
