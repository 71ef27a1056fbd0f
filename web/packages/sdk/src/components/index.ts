export { ConnectionBadge } from "./connection-badge.js";
export {
  NotificationBell,
  type NotificationBellProps,
  NotificationList,
  type NotificationListProps,
} from "./notifications.js";
export { QuotaExceededDialog, type QuotaExceededDialogProps } from "./quota-exceeded-dialog.js";
export { UsageMeter, type UsageMeterProps } from "./usage-meter.js";
